import com.microsoft.azure.sdk.iot.service.messaging.AcknowledgementType;
import com.microsoft.azure.sdk.iot.service.messaging.DeliveryAcknowledgement;
import com.microsoft.azure.sdk.iot.service.messaging.FeedbackRecord;
import com.microsoft.azure.sdk.iot.service.messaging.FileUploadNotification;
import com.microsoft.azure.sdk.iot.service.messaging.FileUploadNotificationProcessorClient;
import com.microsoft.azure.sdk.iot.service.messaging.IotHubServiceClientProtocol;
import com.microsoft.azure.sdk.iot.service.messaging.Message;
import com.microsoft.azure.sdk.iot.service.messaging.MessageFeedbackProcessorClient;
import com.microsoft.azure.sdk.iot.service.messaging.MessagingClient;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Commands, feedback and notifications of files, by the SDK for services. */
class Commands {
  private static final int WAIT_SECONDS = 50;

  private static final Map<String, CompletableFuture<Void>> FEEDBACK = new ConcurrentHashMap<>();

  /** Done once a service in this process was told what became of a command. */
  static CompletableFuture<Void> feedbackOf(String messageId) {
    return FEEDBACK.computeIfAbsent(messageId, id -> new CompletableFuture<>());
  }

  static class Sending {
    String owner;
    IotHubServiceClientProtocol transport;
    List<Command> commands;
  }

  static class Command {
    String deviceId;
    String moduleId;
    String body;
    String messageId;
    Map<String, String> properties;
  }

  /** @return of each whether it was accepted, or how it failed */
  static List<Object> send(Sending sending) throws Exception {
    MessagingClient client = new MessagingClient(sending.owner, sending.transport);
    client.open();
    List<Object> outcomes = new ArrayList<>();
    for (Command command : sending.commands) {
      Message message = new Message(command.body);
      message.setMessageId(command.messageId);
      message.setDeliveryAcknowledgement(DeliveryAcknowledgement.Full);
      message.setProperties(command.properties);
      HubClients.Failure failure =
          HubClients.failureOf(
              () -> {
                if (command.moduleId == null) client.send(command.deviceId, message);
                else client.send(command.deviceId, command.moduleId, message);
              });
      outcomes.add(failure == null ? "accepted" : failure);
    }
    client.close();
    return outcomes;
  }

  static class Waiting {
    String owner;
    IotHubServiceClientProtocol transport;
    int count;
  }

  /** @return what became of commands, by their message ids, once so many are known */
  static Map<String, Object> feedback(Waiting waiting) throws Exception {
    Map<String, Object> seen = Collections.synchronizedMap(new TreeMap<>());
    CountDownLatch told = new CountDownLatch(waiting.count);
    MessageFeedbackProcessorClient client =
        new MessageFeedbackProcessorClient(
            waiting.owner,
            waiting.transport,
            batch -> {
              for (FeedbackRecord record : batch.getRecords()) {
                seen.put(record.getOriginalMessageId(), List.of(record.getDeviceId(), record.getStatusCode()));
                feedbackOf(record.getOriginalMessageId()).complete(null);
                told.countDown();
              }
              return AcknowledgementType.COMPLETE;
            });
    client.start();
    boolean isWhole = told.await(WAIT_SECONDS, TimeUnit.SECONDS);
    client.stop();
    if (!isWhole) throw new IllegalStateException("feedback of " + seen.keySet() + " only");
    return seen;
  }

  /** @return sizes of files that were uploaded, by their names, once so many are known. The first is given back once. */
  static Map<String, Long> files(Waiting waiting) throws Exception {
    Map<String, Long> seen = Collections.synchronizedMap(new TreeMap<>());
    CountDownLatch told = new CountDownLatch(waiting.count + 1);
    FileUploadNotificationProcessorClient client =
        new FileUploadNotificationProcessorClient(
            waiting.owner,
            waiting.transport,
            (FileUploadNotification file) -> {
              boolean isFirst = told.getCount() == waiting.count + 1;
              told.countDown();
              if (isFirst) return AcknowledgementType.ABANDON;
              seen.put(file.getBlobName(), file.getBlobSizeInBytes());
              return AcknowledgementType.COMPLETE;
            });
    client.start();
    boolean isWhole = told.await(WAIT_SECONDS, TimeUnit.SECONDS);
    client.stop();
    if (!isWhole) throw new IllegalStateException("files " + seen.keySet() + " only");
    return seen;
  }
}
