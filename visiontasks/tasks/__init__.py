"""Tasks: LightningModules that train, evaluate and predict."""
