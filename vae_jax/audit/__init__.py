"""What a folder of images is like, before anything is trained: numbers and findings, no pages."""
