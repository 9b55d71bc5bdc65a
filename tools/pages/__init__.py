"""What writes, builds and checks the pages of docs/ and README.md."""
