"""Rules of the plugin without input, output, clock or terminal."""
