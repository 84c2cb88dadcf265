"""Hand-written fakes for tests of the top-level modules without processes, sockets and real time."""
