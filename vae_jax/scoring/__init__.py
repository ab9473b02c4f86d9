"""How abnormal an image is, what is normal enough, and what a trivial rule would say."""
