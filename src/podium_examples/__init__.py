"""Plans, initial models and data sources that come with Podium, as an installed package (extra `demo`).

Each folder is one example on real data: `hospital` (four hospitals), `digits` (100 devices) and `mnist` (500, extra
`mnist`). `softmax.py` is what the last two share: their model, steps and measures.
"""
