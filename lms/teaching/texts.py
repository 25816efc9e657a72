"""Words that the teaching scripts show (脚本用语), in the language of the page."""

from __future__ import annotations

from flask_babel import gettext as _

from lms.labs.texts import stop_texts


def status_names() -> dict[str, str]:
    """Names of the register's statuses."""
    return {
        "absent": _("缺席"),
        "terminal": _("终端"),
        "shared": _("合用"),
        "hand": _("到"),
        "late": _("迟到"),
        "leave": _("请假"),
        "left_early": _("早退"),
    }


def console_texts() -> dict[str, str]:
    """Words of the console's scripts; ``{n}`` and the like are filled by the script."""
    return {
        **stop_texts(),
        "absent": _("未到"),
        "leave": _("请假"),
        "left": _("早退"),
        "hand": _("在场"),
        "here": _("在线"),
        "done": _("完成"),
        "help": _("要帮助"),
        "offline": _("掉线"),
        "hidden": _("离开页面"),
        "step": _("第 {n} 步"),
        "empty_seat": _("空位"),
        "minutes": _("{n} 分钟"),
        "no_help": _("没有同学举手"),
        "wait_minutes": _("等了 {n} 分"),
        "wait_now": _("刚举手"),
        "over": _("超时 {t}"),
        "left_time": _("离下课 {t}"),
        "bell_over": _("已下课 {t}"),
        "offline_web": _("连不上服务器，正在重试。上课可以继续，全部停车按钮仍然有效。"),
        "taken_over": _("另一台设备接管了这节课，这里只能观看。"),
        "pin_new": _("{name} 的新密码"),
        "pin_pictures": _("图片口令"),
        "unlocked": _("已解锁"),
        "unlock": _("解锁"),
        "rest_done": _("其余同学都记为“到”。"),
        "group": _("第 {n} 组"),
        "no_group": _("未分组"),
        "no_robot": _("没有小车"),
        "drives": _("正在驾驶"),
        "dealt": _("{n} 个小组分到了小车。"),
        "ended": _("已下课"),
        "closed": _("已结课，使用记录已写入。"),
        "no_answers": _("还没有提交。"),
        "saved": _("已保存"),
        "paused": _("静屏中"),
        "loading": _("正在读取…"),
    }


def event_names() -> dict[str, str]:
    """Names of the lesson's events."""
    return {
        "started": _("开始上课"),
        "step": _("第几步："),
        "paused": _("全班静屏"),
        "resumed": _("恢复屏幕"),
        "stop": _("全部停车"),
        "ended": _("下课"),
        "reopened": _("继续上课"),
        "taken-over": _("换设备控制"),
        "closed": _("结课，写入使用记录"),
        "groups": _("分组"),
        "robot": _("分车"),
        "robots": _("一键分车"),
        "kit_page": _("起飞、降落、姿势：打开这台设备的页面"),
        "wheel": _("换人驾驶"),
        "units": _("更改教材单元"),
        "kind": _("更改课型"),
    }


def projector_texts() -> dict[str, str]:
    """Words of the projector's script."""
    return {**stop_texts(), "over": _("超时 {t}"), "offline": _("连不上服务器，正在重试…")}
