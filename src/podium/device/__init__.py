"""The device agent and SDK: never imports core or server."""
