"""Detection of objects: networks with a pyramid of maps, their outputs, and which cell learns which object."""
