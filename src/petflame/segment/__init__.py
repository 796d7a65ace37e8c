"""Label map, centrelines and checks of arteries and blood pools."""
