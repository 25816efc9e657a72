"""An RTSP camera: GStreamer's own server plays an MJPEG clip. Run by the system's Python, which has python3-gi.

``/usr/bin/python3 rtsp_server.py PORT CLIP.avi`` serves ``rtsp://127.0.0.1:PORT/camera`` at the clip's own pace, from its beginning
for whoever comes, and prints ``ready``.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402  # the versions have to be named first


def main(port, clip):
    """Serve until killed."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(f'( filesrc location="{clip}" ! avidemux ! jpegdec ! jpegenc ! rtpjpegpay name=pay0 )')
    server.get_mount_points().add_factory("/camera", factory)
    if not server.attach(None):
        sys.exit(f"port {port} is taken")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
