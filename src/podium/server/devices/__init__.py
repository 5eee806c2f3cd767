"""The device conversation: raw ASGI routes, sessions, uploads. Authenticates and decodes; decides nothing."""
