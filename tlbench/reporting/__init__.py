"""One run as one web page: what its records say of each clip, pictures from the videos, and the page around them."""
