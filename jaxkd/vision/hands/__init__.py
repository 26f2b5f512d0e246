"""Networks that find the joints of hands, and the parameters of hands and of what they hold."""

from jaxkd.vision.hands.feature_transform import FeatureFusion as FeatureFusion
from jaxkd.vision.hands.feature_transform import inverse_transform_features as inverse_transform_features
from jaxkd.vision.hands.feature_transform import transform_features as transform_features
from jaxkd.vision.hands.prediction import HandPrediction as HandPrediction
from jaxkd.vision.hands.query_decoder import QueryDecoder as QueryDecoder
from jaxkd.vision.hands.query_decoder import QueryOutputs as QueryOutputs
from jaxkd.vision.hands.recipe import HandRecipe as HandRecipe
from jaxkd.vision.hands.regressor import HandRegressor as HandRegressor
from jaxkd.vision.hands.taught_examples import TaughtHands as TaughtHands
from jaxkd.vision.hands.teacher import MediaPipeHands as MediaPipeHands
from jaxkd.vision.hands.teacher_views import FusionRule as FusionRule
from jaxkd.vision.hands.teacher_views import TeacherViews as TeacherViews
from jaxkd.vision.hands.teacher_views import fused_labels as fused_labels
from jaxkd.vision.hands.teacher_views import fused_points as fused_points
