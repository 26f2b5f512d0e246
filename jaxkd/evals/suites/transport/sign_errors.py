"""Road signs with an error drawn into them, and what is wrong."""

import dataclasses
import functools

from jaxkd.evals.suites.transport.drawings import sign_shapes, signs
from jaxkd.evals.suites.transport.drawings.drawing import BLACK, BLUE, GREEN, RED, WHITE, YELLOW, Canvas, mirrored
from jaxkd.evals.suites.transport.drawings.signs import Picture


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawingError:
    """A sign with an error."""

    name: str
    """Chinese name of the sign that is meant."""
    draw: Picture
    error: str
    """Kind and appearance of the error."""
    right: str
    """Appearance of the sign without it."""

    @property
    def reference(self) -> str:
        """Answer in full."""
        return f"图中是“{self.name}”标志，{self.error}。正确的样式是{self.right}。"


_with = functools.partial

_STOP, _YIELD, _NO_ENTRY = "红底白字的八角形", "顶角朝下、白底红边的倒三角形", "红色圆形，中间有一条白色横杠"
_LIMIT, _TRIANGLE = "白底红圈黑字的圆形", "顶角朝上、白底红边的三角形"


def _inverted_warning(canvas: Canvas) -> None:
    sign_shapes.plate(canvas, 3, WHITE, pointing_up=False, border=RED)
    sign_shapes.pedestrian(canvas, (0.0, 0.2), 0.7, BLACK)


_ERRORS: tuple[tuple[str, Picture, str, str], ...] = (
    ("停车让行", _with(signs.stop, fill=BLUE), "底色错误，画成了蓝色", _STOP),
    ("停车让行", _with(signs.stop, sides=0), "形状错误，画成了圆形", _STOP),
    ("停车让行", _with(signs.stop, text="STPO"), "文字错误，STOP写成了STPO", f"{_STOP}，文字为STOP"),
    ("减速让行", _with(signs.give_way, pointing_up=True), "方向错误，三角形的顶角朝上", _YIELD),
    ("减速让行", _with(signs.give_way, border=BLUE), "边框颜色错误，画成了蓝色", _YIELD),
    ("禁止驶入", _with(signs.no_entry, fill=GREEN), "底色错误，画成了绿色", _NO_ENTRY),
    ("禁止驶入", _with(signs.no_entry, upright=True), "图案错误，横杠画成了竖杠", _NO_ENTRY),
    ("限制速度50公里/小时", _with(signs.speed_limit, text="50", border=BLUE), "边框错误，画成了蓝色", _LIMIT),
    (
        "限制速度70公里/小时",
        _with(signs.speed_limit, text="70", fill=BLACK, ink=WHITE),
        "底色错误，画成了黑底白字",
        _LIMIT,
    ),
    (
        "禁止超车",
        _with(signs.no_overtaking, colours=(BLACK, RED)),
        "图案颜色错误，左侧车辆画成了黑色，右侧车辆画成了红色",
        "白底红圈，左侧车辆为红色，右侧车辆为黑色",
    ),
    (
        "禁止向左转弯",
        _with(signs.no_way, arrow=signs.LEFT, crossed=False),
        "图案不完整，缺少红色斜杠",
        "白底红圈，黑色左转箭头上压有红色斜杠",
    ),
    (
        "禁止掉头",
        _with(signs.no_way, arrow=mirrored(sign_shapes.U_TURN)),
        "箭头方向错误，画成了向右掉头",
        "白底红圈红斜杠，箭头向左掉头",
    ),
    ("直行", _with(signs.mandatory, arrows=[signs.AHEAD], fill=RED), "底色错误，画成了红色", "蓝底白色箭头的圆形"),
    (
        "环岛行驶",
        _with(signs.mandatory_roundabout, clockwise=True),
        "箭头方向错误，画成了顺时针方向",
        "蓝底圆形，三个白色箭头按逆时针方向环绕",
    ),
    ("最低限速60公里/小时", _with(signs.minimum_speed, text="60", fill=GREEN), "底色错误，画成了绿色", "蓝底白字圆形"),
    ("注意行人", _inverted_warning, "方向错误，三角形的顶角朝下", "顶角朝上的三角形，内有黑色行人"),
    (
        "注意信号灯",
        _with(signs.warning, inside=_with(signs.traffic_light, colours=(GREEN, YELLOW, RED))),
        "信号灯的颜色顺序错误，绿灯在上，红灯在下",
        "红灯在上，黄灯居中，绿灯在下",
    ),
    ("双向交通", _with(signs.warning, inside=signs.two_way, border=GREEN), "边框错误，画成了绿色", _TRIANGLE),
    ("停车场", _with(signs.parking, backwards=True), "字母错误，P左右颠倒", "蓝底方形，内有白色字母P"),
    ("干路先行", _with(signs.priority_road, fill=BLUE), "底色错误，画成了蓝色", "黄底白边的菱形"),
)
DRAWING_ERRORS = tuple(
    DrawingError(name=name, draw=draw, error=error, right=right) for name, draw, error, right in _ERRORS
)
"""Signs of task T7."""
