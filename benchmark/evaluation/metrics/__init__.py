"""Components, matching, curves, and the protocols built from them. No torch in here."""
