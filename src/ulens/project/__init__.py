"""A person's project: labels that grow, rounds of models, and what each was trained on."""
