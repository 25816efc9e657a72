"""Sentences that the pupil's page needs while it runs, in the reader's language; sent with the page (页面用语)."""

from __future__ import annotations

from flask_babel import gettext as _


def browser_texts() -> dict[str, str]:
    """All sentences of ``static/js/lesson`` and ``static/js/kinds`` by key; ``%(name)s`` is filled in by the page."""
    return {**_page(), **_kinds(), **_robot(), **_python()}


def _page() -> dict[str, str]:
    return {
        "lamp-online": _("在线"),
        "lamp-online-long": _("和教室连接正常"),
        "lamp-retry": _("重连"),
        "lamp-retry-long": _("正在重新连接；写好的内容留在这台电脑上"),
        "lamp-polling": _("离线轮询"),
        "lamp-polling-long": _("消息通道不通，改为每 3 秒查询一次；作业照常保存，机器人不能驾驶"),
        "plain-http": _("现在是普通 http 连接：Python 用简化方式运行，课堂证据按 B 级记。请老师改用 https 地址。"),
        "queue-sending": _("正在交 %(count)s 份…"),
        "queue-waiting": _("%(count)s 份等着交，连上就自动交"),
        "draft-saved": _("草稿已保存"),
        "draft-local": _("草稿留在这台电脑上，连上再保存"),
        "draft-conflict": _("另一个页面写了更新的草稿，用哪一份？"),
        "draft-theirs": _("用那一份"),
        "draft-ours": _("用我这份"),
        "signed-out": _("登录已失效。写好的内容还在这台电脑上，请重新登录后会自动交。"),
        "help-off": _("我需要帮助"),
        "help-on": _("老师看到了，放下手"),
        "help-offline": _("现在连不上，请直接举手叫老师。"),
        "close": _("关闭"),
        "chars": _("已写 %(chars)s 个字（%(least)s～%(most)s）"),
    }


def _kinds() -> dict[str, str]:
    return {
        "verdict-right": _("对了"),
        "verdict-part": _("对了一部分"),
        "verdict-wrong": _("再想想"),
        "camera-live": _("教室摄像头在线：只取一个数字，不拍照片。"),
        "camera-here": _("正在用这台电脑的摄像头：只取一个数字，画面不离开这台电脑。"),
        "camera-recorded": _("没有摄像头，用“课前记录”的结果。"),
        "camera-none": _("没有摄像头，也没有课前记录，请告诉老师。"),
        "camera-failed": _("没有取到结果，请再点一次。"),
        "camera-own": _("自己设计"),
        "camera-predicted": _("第 %(trial)s 次预测"),
        "camera-note": _("第 %(trial)s 次发生了什么"),
        "camera-take": _("取结果"),
        "camera-why": _("发生了什么？为什么？"),
        "camera-hit": _("预测中了"),
        "camera-miss": _("没想到"),
        **_eye(),
    }


def _eye() -> dict[str, str]:
    """The camera of the pupil's own computer (``kinds/own_camera.js``): each reason with what to do."""
    return {
        "eye-title": _("本机摄像头"),
        "eye-use": _("用这台电脑的摄像头"),
        "eye-off": _("关掉摄像头"),
        "eye-on": _("摄像头开着。画面只留在这台电脑里，变成方块给你看；送出去的只有数字。"),
        "eye-numbers": _("画面不会离开这台电脑，只算出数字。"),
        "eye-picture": _("摄像头画面，已变成方块"),
        "eye-starting": _("正在打开摄像头，第一次要等几秒……浏览器问你时请点“允许”。"),
        "eye-stale": _("摄像头没有新画面：看看线插好没有、镜头盖开了没有。"),
        "eye-insecure": _("这个地址是 http，浏览器不让用摄像头。请告诉老师：换成 https 开头的地址（先装学校证书）。"),
        "eye-unsupported": _("这个浏览器太旧，用不了摄像头。请告诉老师换一台电脑，或升级浏览器。"),
        "eye-denied": _("浏览器不允许用摄像头。请点地址栏左边的图标，把“摄像头”改成“允许”，再点一次。"),
        "eye-missing": _("这台电脑没有找到摄像头。请插好 USB 摄像头，再点一次。"),
        "eye-busy": _("摄像头打不开，可能别的程序正在用它。请关掉那个程序，再点一次。"),
        "eye-model": _("识别程序没有装好。请告诉老师：在服务器上重新安装网页资源（make assets）。"),
        "eye-lost": _("摄像头断开了。请插好线，再点一次。"),
        "eye-watched": _("老师正在看“%(name)s”的模糊画面：只有方块，不保存。"),
        "eye-recording": _("“%(name)s”正在录像，画面只有方块。"),
    }


def _robot() -> dict[str, str]:
    return {
        "editor": _("程序"),
        "run-idle": _("运行"),
        "run-running": _("正在运行…"),
        "run-loading": _("Python 正在准备…"),
        "run-failed": _("Python 没有装好，请刷新页面"),
        "restore-sure": _("换回原来的程序？现在的改动会没有。"),
        "python-awaiting": _("普通 http：程序用简化方式运行，不能在 lambda 或类里指挥机器人。"),
        "pace-fast": _("快进 ×4"),
        "pace-normal": _("正常速度"),
        "cm": _("厘米"),
        "goal-reach": _("目标：开到绿圈里"),
        "goal-stop_before": _("目标：停在离墙 %(least)s～%(most)s 厘米，不碰墙"),
        "goal-follow": _("目标：沿黑线走"),
        "sensor-range": _("前方(厘米)"),
        "sensor-line": _("巡线"),
        "sensor-light": _("光照"),
        "sensor-battery": _("电量(%)"),
        "stop-sending": _("正在停车…"),
        "stop-stands": _("%(n)s 号小车停住了。"),
        "stop-lift": _("请拿起 %(n)s 号小车！"),
        "stop-not-sent": _("停车命令没有送到：拿起小车，关电源开关！"),
        "wheel-mine": _("现在由你驾驶"),
        "wheel-other": _("现在由 %(seat)s 号驾驶"),
        "wheel-nobody": _("现在没有人驾驶"),
        "wheel-none": _("还没有分到小车，请等老师"),
        "wheel-still": _("小组的设备没有轮子，不能开；它由老师在设备页上操作。"),
        "wheel-offline": _("消息通道没有连上，真车现在不能开"),
        "wheel-give": _("把方向盘交给 %(seat)s 号"),
        "wheel-take": _("我来驾驶"),
    }


def _python() -> dict[str, str]:
    return {
        "py-line": _("第 %(line)s 行："),
        "py-stopped": _("程序已停止。"),
        "py-number": _("%(name)s 要填数字，现在是 %(value)s。"),
        "py-range": _("%(name)s 是 %(value)s，应该在 %(low)s 到 %(high)s 之间。"),
        "py-arguments": _("括号里的内容不对，最多填 %(count)s 个。"),
        "py-no-sensor": _("这台机器人没有 %(name)s 这个传感器，或者还没有读数。"),
        "py-robot-method": _("robot 没有 %(name)s 这个动作。可以用：%(methods)s。"),
        "py-input": _("这里不能用 input()，请把数直接写在程序里。"),
        "py-table": _("没有 %(name)s 这张表。"),
        "py-output": _("输出太多，程序停下了。是不是循环没有停？"),
        "py-tabs": _("缩进混用了 Tab 和空格，请都用空格。"),
        "py-indent-missing": _("冒号的下一行要缩进（往右空 4 格）。"),
        "py-indent": _("缩进不整齐：同一段的开头要对齐。"),
        "py-full-width": _("这里有中文符号“%(sign)s”，请切换到英文输入法重打。"),
        "py-colon": _("这一行末尾少了冒号 :"),
        "py-bracket": _("括号 %(sign)s 没有配成对。"),
        "py-quote": _("引号没有配成对。"),
        "py-unmatched": _("多了一个 %(sign)s，或者括号没有配好。"),
        "py-equals": _("比较是否相等要用两个等号 ==。"),
        "py-comma": _("是不是少了一个逗号？"),
        "py-syntax": _("这一行 Python 看不懂，请检查拼写和符号。"),
        "py-name": _("没有定义过 %(name)s。先给它一个值，或检查拼写；文字要加引号。"),
        "py-name-near": _("没有定义过 %(name)s。是不是想写 %(near)s？"),
        "py-attribute": _("没有 %(name)s 这个用法，请检查拼写。"),
        "py-zero": _("除数是 0，不能除。"),
        "py-index": _("序号超出了列表的长度；第一个的序号是 0。"),
        "py-key": _("没有 %(name)s 这一项，请检查名字。"),
        "py-recursion": _("函数一直在调用自己，停不下来。"),
        "py-import": _("这里没有 %(name)s 这个模块。"),
        "py-value": _("值不对：例如把不是数字的文字变成数字。"),
        "py-type": _("类型不对：例如文字和数字不能直接相加，或者少填了一个参数。"),
        "py-assert": _("assert 后面的条件不成立。"),
        "py-memory": _("内存不够，是不是列表越来越长？"),
        "py-other": _("程序出错了。"),
    }
