"""State of one object in this process, whose job it has, and the input and output of a decision."""
