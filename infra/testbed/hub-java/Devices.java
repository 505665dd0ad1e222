import com.google.gson.JsonElement;
import com.microsoft.azure.sdk.iot.device.ClientOptions;
import com.microsoft.azure.sdk.iot.device.DeviceClient;
import com.microsoft.azure.sdk.iot.device.FileUploadCompletionNotification;
import com.microsoft.azure.sdk.iot.device.FileUploadSasUriRequest;
import com.microsoft.azure.sdk.iot.device.FileUploadSasUriResponse;
import com.microsoft.azure.sdk.iot.device.InternalClient;
import com.microsoft.azure.sdk.iot.device.IotHubClientProtocol;
import com.microsoft.azure.sdk.iot.device.IotHubMessageResult;
import com.microsoft.azure.sdk.iot.device.IotHubStatusCode;
import com.microsoft.azure.sdk.iot.device.Message;
import com.microsoft.azure.sdk.iot.device.MessageCallback;
import com.microsoft.azure.sdk.iot.device.MessageProperty;
import com.microsoft.azure.sdk.iot.device.ModuleClient;
import com.microsoft.azure.sdk.iot.device.MultiplexingClient;
import com.microsoft.azure.sdk.iot.device.exceptions.IotHubClientException;
import com.microsoft.azure.sdk.iot.device.twin.DirectMethodResponse;
import com.microsoft.azure.sdk.iot.device.twin.TwinCollection;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Devices, by the SDK for devices. */
class Devices {
  /** HTTPS asks for commands so often. */
  private static final int RECEIVE_MS = 200;

  private static final int WAIT_SECONDS = 50;
  /** The SDK now and then loses an answer about twins that it has received: it is then asked again. */
  private static final int TWIN_MS = 4_000;

  private static final int TWIN_TRIES = 5;

  /** What a device, or a module of one, does over one connection. */
  static class Plan {
    String transport;
    String connectionString;

    /** In PEM, if it is not a key that proves who it is. */
    String certificate;

    String privateKey;
    List<Text> messages = List.of();

    /** Reported once it listens. Without it, it neither has a twin nor answers calls. */
    Map<String, Object> reported;

    /** It ends after so many calls, */
    int calls;

    /** once all commands came that it has to settle, each as often as it is said how, by their texts, */
    Map<String, List<IotHubMessageResult>> settlements = Map.of();

    /** and once it was told this property, */
    String desired;

    /** and once a service was told of these commands: the SDK settles a command behind the callback, or not at all where it is closed. */
    List<String> feedback = List.of();
  }

  /** A message either way. */
  static class Text {
    String body;
    String messageId;
    String correlationId;
    String contentType;
    String contentEncoding;
    Map<String, String> properties = new TreeMap<>();

    static Text of(Message message) {
      Text text = new Text();
      text.body = new String(message.getBytes(), StandardCharsets.UTF_8);
      text.messageId = message.getMessageId();
      text.correlationId = message.getCorrelationId();
      text.contentType = message.getContentType();
      text.contentEncoding = message.getContentEncoding();
      for (MessageProperty property : message.getProperties()) text.properties.put(property.getName(), property.getValue());
      return text;
    }

    Message message() {
      Message message = new Message(body);
      message.setMessageId(messageId);
      message.setCorrelationId(correlationId);
      message.setContentType(contentType);
      message.setContentEncoding(contentEncoding);
      properties.forEach(message::setProperty);
      return message;
    }
  }

  /** What became of it. */
  static class Seen {
    final List<Text> commands = Collections.synchronizedList(new ArrayList<>());
    final List<JsonElement> calls = Collections.synchronizedList(new ArrayList<>());
    final Map<String, Object> desired = Collections.synchronizedMap(new TreeMap<>());
    Map<String, Object> read;
    Integer reportedVersion;
  }

  static Seen live(Plan plan) throws Exception {
    IotHubClientProtocol transport = IotHubClientProtocol.valueOf(plan.transport);
    ClientOptions.ClientOptionsBuilder options = ClientOptions.builder().receiveInterval(RECEIVE_MS);
    if (plan.certificate != null) options.sslContext(new CertifiedDevice("", plan.certificate, plan.privateKey).getSSLContext());
    Life life = new Life(plan);
    InternalClient client;
    if (plan.connectionString.contains("ModuleId=")) {
      client = new ModuleClient(plan.connectionString, transport, options.build()).setMessageCallback(life, null);
    } else {
      client = new DeviceClient(plan.connectionString, transport, options.build()).setMessageCallback(life, null);
    }
    client.open(false);
    try {
      return life.with(client);
    } finally {
      client.close();
    }
  }

  /** Several devices on one connection, which do the same at the same time. */
  static List<Seen> multiplexed(List<Plan> plans) throws Exception {
    IotHubClientProtocol transport = IotHubClientProtocol.valueOf(plans.get(0).transport);
    List<DeviceClient> clients = new ArrayList<>();
    List<Life> lives = new ArrayList<>();
    for (Plan plan : plans) {
      Life life = new Life(plan);
      lives.add(life);
      clients.add(new DeviceClient(plan.connectionString, transport).setMessageCallback(life, null));
    }
    String hostName = clients.get(0).getConfig().getIotHubHostname();
    MultiplexingClient connection = new MultiplexingClient(hostName, transport);
    connection.registerDeviceClients(clients);
    connection.open(false);
    try {
      List<Seen> seen = new ArrayList<>();
      for (int index = 0; index < plans.size(); index++) seen.add(lives.get(index).with(clients.get(index)));
      return seen;
    } finally {
      connection.close();
    }
  }

  private static class Life implements MessageCallback {
    private final Plan plan;
    private final Seen seen = new Seen();
    private final CountDownLatch called;
    private final CountDownLatch commanded;
    private final CountDownLatch told;

    Life(Plan plan) {
      this.plan = plan;
      called = new CountDownLatch(plan.calls);
      commanded = new CountDownLatch(plan.settlements.values().stream().mapToInt(List::size).sum());
      told = new CountDownLatch(plan.desired == null ? 0 : 1);
    }

    @Override
    public IotHubMessageResult onCloudToDeviceMessageReceived(Message message, Object context) {
      Text command = Text.of(message);
      int timesBefore = (int) seen.commands.stream().filter(earlier -> earlier.body.equals(command.body)).count();
      seen.commands.add(command);
      commanded.countDown();
      return plan.settlements.get(command.body).get(timesBefore);
    }

    Seen with(InternalClient client) throws Exception {
      for (Text message : plan.messages) client.sendEvent(message.message());
      if (plan.reported != null) listen(client);
      await(called, "calls");
      await(commanded, "commands");
      await(told, "desired properties");
      for (String messageId : plan.feedback) Commands.feedbackOf(messageId).get(WAIT_SECONDS, TimeUnit.SECONDS);
      return seen;
    }

    private void listen(InternalClient client) throws Exception {
      client.subscribeToMethods(
          (name, payload, context) -> {
            seen.calls.add(payload.getPayloadAsJsonElement());
            called.countDown();
            return new DirectMethodResponse(200, Map.of("name", name, "given", payload.getPayloadAsJsonElement()));
          },
          null);
      client.subscribeToDesiredProperties(
          (twin, context) -> {
            seen.desired.putAll(twin.getDesiredProperties());
            if (twin.getDesiredProperties().containsKey(plan.desired)) told.countDown();
          },
          null);
      seen.read = answered(() -> client.getTwin(TWIN_MS)).getDesiredProperties();
      TwinCollection reported = new TwinCollection(plan.reported);
      seen.reportedVersion = answered(() -> client.updateReportedProperties(reported, TWIN_MS)).getVersion();
    }

    private static <Answer> Answer answered(Callable<Answer> question) throws Exception {
      for (int triesLeft = TWIN_TRIES - 1; ; triesLeft--) {
        try {
          return question.call();
        } catch (IotHubClientException error) {
          if (triesLeft == 0 || error.getStatusCode() != IotHubStatusCode.DEVICE_OPERATION_TIMED_OUT) throw error;
        }
      }
    }

    private static void await(CountDownLatch latch, String what) throws InterruptedException {
      if (latch.await(WAIT_SECONDS, TimeUnit.SECONDS)) return;
      throw new IllegalStateException(latch.getCount() + " " + what + " did not come");
    }
  }

  /** A file to upload. */
  static class File {
    String connectionString;
    String name;
    String text;
  }

  /** Uploads it, where the SDK says, and tells the hub. @return the status of the upload */
  static int upload(File file) throws Exception {
    DeviceClient client = new DeviceClient(file.connectionString, IotHubClientProtocol.HTTPS);
    FileUploadSasUriResponse place = client.getFileUploadSasUri(new FileUploadSasUriRequest(file.name));
    HttpRequest request =
        HttpRequest.newBuilder(place.getBlobUri())
            .header("x-ms-blob-type", "BlockBlob")
            .PUT(HttpRequest.BodyPublishers.ofString(file.text))
            .build();
    HttpResponse<String> response = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
    client.completeFileUpload(new FileUploadCompletionNotification(place.getCorrelationId(), response.statusCode() == 201));
    client.close();
    return response.statusCode();
  }
}
