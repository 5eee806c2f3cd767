"""Who may train: filter, score, reserve, permit, with a reason for every refusal. A calculation."""
