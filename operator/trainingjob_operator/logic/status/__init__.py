"""The `.status` and the Events of an object, made from one report."""
