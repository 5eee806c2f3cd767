"""The operator API: routes, submissions, and what a person may call a thing."""
