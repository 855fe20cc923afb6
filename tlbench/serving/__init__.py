"""A web page from this machine: the socket, and limits on time and connections so that nobody keeps others out.

Begin with `server.py`.
"""
