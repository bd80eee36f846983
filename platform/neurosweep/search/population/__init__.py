"""Populations: members that train side by side, copy better ones, and change their hyperparameters on the way.

Ray's own PBT and PB2 schedulers are not used: they exclude a searcher, need Ray's checkpoints, and their state
is not restored after a kill.
"""
