"""What labkit costs against the barest thing that does the same, on this machine, on the same broker, in the same run.

``throughput_ratio``
    Drive commands a second through labkit over those through a bare paho loop, 20 robots with one command on its way each.
    Both ways have the same four stations: a client publishes a wish → a process reads it and publishes the two speeds → the
    board (one and the same process for both) answers with its reading → the client has it. The bare process is `relay`, a
    plain ``on_message``; labkit's is the gateway with lease, caps, queue and worker. The kit's own pace (25 Hz) is lifted, for
    it would make both equally slow. ``direct_per_s`` is the same without any station between client and board.
``estop_p99_ms``, ``estop_ratio``
    From the room's stop being published to the gateway's report that all 20 have proved it; over the p99 of publishing 20
    stops straight to the same boards and hearing 20 answers.
``vision_ratio``
    Pictures a second of ``labkit.vision`` on a clip over those of a loop of OpenCV and MediaPipe with the same models.
``house_cores``, ``house_rss_mib``
    Processor and memory of gateway, its guards and broker with 40 terminals and 20 robots driving at 10 Hz.
"""
