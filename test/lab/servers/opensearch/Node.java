import java.nio.file.Path;
import java.util.List;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.transport.Netty4Plugin;

/** One OpenSearch node on loopback: `java -cp 'jars/*' Node.java HOME PORT`. Data below HOME, nothing elsewhere. */
class Node {
  static final class Embedded extends org.opensearch.node.Node {
    Embedded(Settings settings, Path home) {
      super(new Environment(settings, home.resolve("config")), List.of(Netty4Plugin.class), false);
    }
  }

  public static void main(String[] arguments) throws Exception {
    Path home = Path.of(arguments[0]);
    Settings settings =
        Settings.builder()
            .put("path.home", home.toString())
            .put("path.data", home.resolve("data").toString())
            .put("path.logs", home.resolve("logs").toString())
            .put("cluster.name", "lab")
            .put("node.name", "lab")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.type", "netty4")
            .put("http.port", arguments[1])
            .put("transport.type", "netty4")
            .put("transport.port", "0")
            // A full disk of the machine is not what is tested.
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .put("node.store.allow_mmap", false)
            .build();
    Embedded node = new Embedded(settings, home);
    node.start();
    Thread.currentThread().join();
  }
}
