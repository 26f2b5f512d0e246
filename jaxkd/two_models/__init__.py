"""Study of a student, a teacher and a file of data, and the config file that says the same."""
