"""Drawn skin lesions: exact outlines, textures of real photographs, three levels of severity."""
