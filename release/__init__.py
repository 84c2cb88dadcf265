"""Programs of a release: version numbers, and its files. RELEASE.md has the steps. No part of the wheel."""
