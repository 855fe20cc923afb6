"""How far the mouth is open in each frame, by the embedded face mesh."""
