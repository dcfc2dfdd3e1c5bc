"""What Kairan does: one file per noun, verbs inside, in the rooms of the house. No Flask and no huey here.

organizers, people and entry: who writes, who receives, how they come in. roster: lists from files, the new year.
writing, road and results: a notice before, while and after it goes. door: mail that arrives. house: the installation.
What every room needs stands beside them: history, limits, organization, refusals, rights, service, sight.
"""
