# Small, and quick to start rather than quick when warm.
-Xms64m
-Xmx256m
-XX:+UseSerialGC
-XX:TieredStopAtLevel=1
-XX:+ExitOnOutOfMemoryError
-XX:-UsePerfData
-Djava.awt.headless=true
-Djava.net.preferIPv4Stack=true
-Djava.io.tmpdir=@FOLDER@/tmp
