"""The TrainingJob object as the user wrote it: its fields, annotations and validation, and the request made of them."""
