"""Words for what came of an order (结果用语), in the language of the page."""

from __future__ import annotations

from flask_babel import gettext as _


def result_texts() -> dict[str, str]:
    """Result code → what it means and what to do."""
    return {
        "ok": _("好"),
        "off": _("没有回答：没开机、没装 Veyon，或地址不对"),
        "no_address": _("没有填电脑地址"),
        "no_mac": _("没有填 MAC 地址，不能远程开机"),
        "no_broadcast": _("服务器所在网络不许广播，不能远程开机"),
        "no_key": _("Veyon 的密钥不在了，请管理员重新填写"),
        "unreachable": _("连不上 WebAPI，请检查它是否在运行"),
        "tls": _("WebAPI 的证书对不上"),
        "bad_key": _("密钥内容不对"),
        "refused": _("电脑不认这把密钥或密码"),
        "method_off": _("电脑没有开启这种登录方式"),
        "no_feature": _("电脑上的 Veyon 没有这个功能"),
        "limit": _("Veyon 的连接数用完了，请在 WebAPI 设置里调大"),
        "expired": _("连接中断了"),
        "no_jpeg": _("WebAPI 不会生成 JPEG 图片"),
        "no_picture": _("没有画面：可能没有人登录"),
        "no_picture_yet": _("没有画面：可能没有人登录"),
        "version": _("电脑上的 Veyon 版本不合"),
        "unconfirmed": _("没有确认，请看一眼这台电脑"),
        "late": _("没有发出：后台服务停了一会儿"),
        "stopped": _("没有做完：后台服务重启了"),
        "strange": _("WebAPI 的回答看不懂，请检查地址和版本"),
    }


def console_texts() -> dict[str, str]:
    """Words of the console's script; ``{n}`` and the like are filled by the script."""
    return {
        **{f"result_{code}": text for code, text in result_texts().items()},
        "do_lock": _("锁定"),
        "do_unlock": _("解锁"),
        "do_restart": _("重启"),
        "do_shut-down": _("关机"),
        "do_wake": _("开机"),
        "all": _("全部 {n} 台"),
        "some": _("选中的 {n} 台"),
        "working": _("正在{what}…… {n}/{all}"),
        "soon": _("{s} 秒后{what} {n} 台电脑"),
        "undo": _("撤销"),
        "undone": _("已撤销，电脑没有动。"),
        "all_done": _("{what}：{n} 台都好了。"),
        "some_done": _("{what}：{n} 台好了，{bad} 台没有。"),
        "sent": _("{what}：已发给 {n} 台。"),
        "ask_power": _("{what} {n} 台电脑？没保存的文件会丢。发出前有 8 秒可以撤销。"),
        "locked": _("已锁"),
        "waiting_picture": _("正在取……"),
        "pick": _("选中座位 {n}"),
    }
