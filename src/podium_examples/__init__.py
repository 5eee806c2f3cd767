"""Plans, initial models and data sources that come with Podium, as an installed package (extra `demo`).

Each folder is one example on real data: `hospital` (four hospitals) and `digits` (100 devices).
"""
