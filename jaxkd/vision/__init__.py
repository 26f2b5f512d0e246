"""Networks on images: their descriptions, layers and architectures, and the recipe that trains them."""
