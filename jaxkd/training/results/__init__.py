"""Results of an evaluation as plain records, which a file can restore and a report can show."""
