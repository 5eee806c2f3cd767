"""What an operator's own tools see of a plane: numbers, traces, experiments. It decides nothing and tells no secret."""
