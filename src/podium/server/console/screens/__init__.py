"""The screens, one file each: what a page shows, from what the operator API's reading verbs give."""
