"""Stand-ins written by hand, for tests of the top level without processes, sockets and real time."""
