"""Rendered infrared scenes: backdrop, distractors, targets, sensor; one file a step, NumPy only.

Everything is in grey levels of an 8-bit image (0..255) as float32 until the sensor quantises it.
"""
