"""Learning rates of Adam at which every backbone learns a batch by heart."""

# The deepest plain networks, and those without batch normalisation, learn nothing at a higher rate; 152 layers shake.
RATES = dict.fromkeys(("vgg11", "vgg13", "vgg16", "vgg19", "vgg16-bn", "vgg19-bn", "alexnet"), 2e-4)
RATES |= dict.fromkeys(("resnet152", "resnet152-small"), 5e-4)
USUAL = 2e-3
