"""Does each metric see what it claims to see?"""
