"""Poses of real hands: recordings of their joints, fitted to the mesh."""
