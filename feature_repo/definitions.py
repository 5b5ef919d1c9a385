"""The features of the platform for the stock ``feast`` command.

They are declared once, in ``quantdesk.features.definitions``; this file hands them to Feast. Views of your own can
stand beside them: any Feast object at the top level of a file in this folder becomes part of the repository.
"""

from quantdesk.features.config import FeatureConfig
from quantdesk.features.repository import objects

symbol, technical, market_model, sentiment, all_features = objects(FeatureConfig.from_env().root)
