"""Features of Inception-v3, for FID and KID."""
