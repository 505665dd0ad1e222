import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.StreamSupport;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Kafka's own consumer, as a reader of what is committed: `GET /<topic>` answers all of the topic that such a reader sees once no
 * transaction is open any more, a line `<partition> <offset> <timestamp> <key> <value> <header>=<value>,…` a record, with bytes in base64
 * and `-` for none.
 */
public class CommittedReader {
  /** Then what is committed behind an open transaction is left out. */
  private static final long WAIT_MS_MAX = 10_000;

  public static void main(String[] args) throws Exception {
    var committed = consumer(args[0], "read_committed");
    var all = consumer(args[0], "read_uncommitted");
    var server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
    server.createContext("/", exchange -> {
      byte[] answer = read(committed, all, exchange.getRequestURI().getPath().substring(1)).getBytes(StandardCharsets.UTF_8);
      exchange.sendResponseHeaders(200, 0);
      try (var body = exchange.getResponseBody()) {
        body.write(answer);
      }
    });
    server.start();
    System.out.println("ready " + server.getAddress().getPort());
  }

  private static KafkaConsumer<byte[], byte[]> consumer(String brokers, String isolation) {
    Map<String, Object> settings =
        Map.of("bootstrap.servers", brokers, "isolation.level", isolation, "allow.auto.create.topics", "false");
    return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  private static String read(
      KafkaConsumer<byte[], byte[]> consumer, KafkaConsumer<byte[], byte[]> all, String topic) {
    List<TopicPartition> partitions =
        consumer.partitionsFor(topic).stream().map(each -> new TopicPartition(topic, each.partition())).toList();
    consumer.assign(partitions);
    consumer.seekToBeginning(partitions);
    long until = System.currentTimeMillis() + WAIT_MS_MAX;
    Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
    while (!ends.equals(all.endOffsets(partitions)) && System.currentTimeMillis() < until)
      ends = consumer.endOffsets(partitions);
    var lines = new StringBuilder();
    while (ends.entrySet().stream().anyMatch(end -> consumer.position(end.getKey()) < end.getValue()))
      for (var record : consumer.poll(Duration.ofMillis(100))) lines.append(line(record)).append('\n');
    return lines.toString();
  }

  private static String line(ConsumerRecord<byte[], byte[]> record) {
    String headers = StreamSupport.stream(record.headers().spliterator(), false)
        .map(header -> text(header.key().getBytes(StandardCharsets.UTF_8)) + "=" + text(header.value()))
        .collect(Collectors.joining(","));
    return record.partition() + " " + record.offset() + " " + record.timestamp() + " " + text(record.key()) + " "
        + text(record.value()) + " " + headers;
  }

  private static String text(byte[] bytes) {
    return bytes == null ? "-" : Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
  }
}
