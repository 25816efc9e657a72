"""Words of the scripts of pages that can stop robots (脚本用语), in the language of the page."""

from __future__ import annotations

from flask_babel import gettext as _


def stop_texts() -> dict[str, str]:
    """Words of the stop button and of the line to the broker; ``{n}`` and the like are filled by the script."""
    return {
        "stop_sending": _("正在停车…"),
        "stop_ok": _("{n} 台小车都已停住。"),
        "stop_none": _("已发出停车。没有小车在册。"),
        "stop_lift": _("请拿起 {names} 号小车"),
        "stop_lift_one": _("没有确认停住："),
        "stop_switch": _("停车命令没有送到，请马上关小车电源开关！"),
        "stop_switch_late": _("网关没有回答，请关小车电源开关。"),
        "reason_no_answer": _("小车没有回答"),
        "reason_no_gateway": _("它的网关没有回答"),
        "again": _("再停一次"),
        "failed": _("没有成功"),
        "retry": _("网络不通，请再试一次。"),
        "link_live": _("实时"),
        "link_poll": _("轮询"),
        "link_poll_tip": _("收不到实时消息，每 3 秒刷新一次。全部停车请同时关小车电源开关。"),
        "link_none": _("本课没有教室设备"),
        "blink": _("正在闪灯：{name}"),
    }


def kit_texts() -> dict[str, str]:
    """Words of the device page's and the arena's scripts."""
    return {
        **stop_texts(),
        "seconds_ago": _("{n} 秒前"),
        "minutes_ago": _("{n} 分钟前"),
        "no_message": _("还没有消息"),
        "refused": _("没有做："),
        "yes": _("是"),
        "no": _("否"),
        "arena_none": _("还没有收到模拟桌面。请在网关电脑上运行 labkit simulate。"),
        "arena_offline": _("收不到实时消息，画面停住了。"),
        "arena_real": _("真车，不在图上"),
        "arena_place": _("x {x}　y {y} 厘米　朝向 {heading}°"),
        "group": _("第 {n} 组"),
    }


def stranger_texts() -> dict[str, str]:
    """Words of the list of boards that nobody has named."""
    return {
        "failed": _("没有成功"),
        "retry": _("网络不通，请再试一次。"),
        "what": _("它是什么？"),
        "sticker": _("贴纸编号"),
        "adopt": _("认领"),
        "plugged": _("刚插上的板子"),
        "sent": _("已告诉网关，等它回答…"),
        "account": _("已告诉网关。在板卡上填这个账号：用户名 {username}，密码 {password}"),
    }
