"""What the tests, the measurements and the pages of the template share, and the demo."""
