import com.google.gson.JsonElement;
import com.microsoft.azure.sdk.iot.service.configurations.Configuration;
import com.microsoft.azure.sdk.iot.service.configurations.ConfigurationContent;
import com.microsoft.azure.sdk.iot.service.configurations.ConfigurationsClient;
import com.microsoft.azure.sdk.iot.service.jobs.DirectMethodsJobOptions;
import com.microsoft.azure.sdk.iot.service.jobs.ScheduledJob;
import com.microsoft.azure.sdk.iot.service.jobs.ScheduledJobStatus;
import com.microsoft.azure.sdk.iot.service.jobs.ScheduledJobType;
import com.microsoft.azure.sdk.iot.service.jobs.ScheduledJobsClient;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodRequestOptions;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodResponse;
import com.microsoft.azure.sdk.iot.service.methods.DirectMethodsClient;
import com.microsoft.azure.sdk.iot.service.query.JobQueryResponse;
import com.microsoft.azure.sdk.iot.service.query.QueryClient;
import com.microsoft.azure.sdk.iot.service.query.QueryPageOptions;
import com.microsoft.azure.sdk.iot.service.query.RawQueryResponse;
import com.microsoft.azure.sdk.iot.service.query.TwinQueryResponse;
import com.microsoft.azure.sdk.iot.service.twin.Twin;
import com.microsoft.azure.sdk.iot.service.twin.TwinClient;
import java.util.ArrayList;
import java.util.Date;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Twins, calls, queries, jobs and configurations, by the SDK for services. */
class Services {
  private static final int WAIT_MS = 50_000;
  private static final int POLL_MS = 50;

  /** A device, or a module of it, that is told what to be, and called. */
  static class Spoken {
    String owner;
    String deviceId;
    String moduleId;
    Map<String, Object> desired;
    String method;
    Object payload;
  }

  /** Waits until it has reported something, tells it and calls it. @return its answer, and its twin */
  static Map<String, Object> speak(Spoken to) throws Exception {
    TwinClient twins = new TwinClient(to.owner);
    Twin twin = twinOf(twins, to);
    for (long until = System.currentTimeMillis() + WAIT_MS; twin.getReportedProperties().isEmpty(); twin = twinOf(twins, to)) {
      if (System.currentTimeMillis() > until) throw new IllegalStateException(to.deviceId + " has reported nothing");
      Thread.sleep(POLL_MS);
    }
    DirectMethodsClient methods = new DirectMethodsClient(to.owner);
    DirectMethodRequestOptions options = DirectMethodRequestOptions.builder().payload(to.payload).build();
    DirectMethodResponse answer =
        to.moduleId == null
            ? methods.invoke(to.deviceId, to.method, options)
            : methods.invoke(to.deviceId, to.moduleId, to.method, options);
    Twin change = to.moduleId == null ? new Twin(to.deviceId) : new Twin(to.deviceId, to.moduleId);
    change.getDesiredProperties().putAll(to.desired);
    Twin changed = twins.patch(change);
    Map<String, Object> seen = new LinkedHashMap<>();
    seen.put("status", answer.getStatus());
    seen.put("payload", answer.getPayloadAsJsonElement());
    seen.put("reported", twin.getReportedProperties());
    seen.put("desired", changed.getDesiredProperties());
    seen.put("desiredVersion", changed.getDesiredProperties().getVersion());
    return seen;
  }

  private static Twin twinOf(TwinClient twins, Spoken to) throws Exception {
    return to.moduleId == null ? twins.get(to.deviceId) : twins.get(to.deviceId, to.moduleId);
  }

  static class Tour {
    String owner;
    List<String> deviceIds;
  }

  /** Devices without a connection, which get tags, and are asked for by them, called in vain and given a job and a configuration. */
  static Map<String, Object> tour(Tour tour) throws Exception {
    String owner = tour.owner;
    List<String> deviceIds = tour.deviceIds;
    Map<String, Object> seen = new LinkedHashMap<>();
    TwinClient twins = new TwinClient(owner);
    for (String id : deviceIds) {
      Twin change = new Twin(id);
      change.getTags().put("hall", "a");
      change.getDesiredProperties().put("level", Map.of("low", 1, "high", 2));
      twins.patch(change);
    }
    String first = deviceIds.get(0);
    Twin stale = twins.get(first);
    Twin replaced = twins.get(first);
    replaced.getDesiredProperties().clear();
    replaced.getDesiredProperties().put("only", true);
    seen.put("replaced", twins.replace(replaced).getDesiredProperties());
    seen.put("stale", HubClients.failureOf(() -> twins.replace(stale, stale.getETag())));
    seen.put("noTwin", HubClients.failureOf(() -> twins.get("nobody")));
    DirectMethodsClient methods = new DirectMethodsClient(owner);
    DirectMethodRequestOptions atOnce = DirectMethodRequestOptions.builder().methodConnectTimeoutSeconds(0).build();
    seen.put("offline", HubClients.failureOf(() -> methods.invoke(first, "reboot", atOnce)));
    seen.put("unknown", HubClients.failureOf(() -> methods.invoke("nobody", "reboot", atOnce)));
    seen.put("pages", pages(new QueryClient(owner)));
    seen.put("grouped", grouped(new QueryClient(owner)));
    seen.put("noQuery", HubClients.failureOf(() -> new QueryClient(owner).queryTwins("SELECT * FROM nonsense")));
    seen.put("jobs", jobs(owner));
    seen.put("updated", twins.get(first).getDesiredProperties());
    seen.put("configuration", configuration(owner));
    return seen;
  }

  /** Ids of the devices in the hall, page by page. */
  private static List<List<String>> pages(QueryClient queries) throws Exception {
    List<List<String>> pages = new ArrayList<>();
    String token = null;
    do {
      QueryPageOptions options = QueryPageOptions.builder().pageSize(2).continuationToken(token).build();
      TwinQueryResponse response = queries.queryTwins("SELECT * FROM devices WHERE tags.hall = 'a'", options);
      token = response.getContinuationToken();
      List<String> page = new ArrayList<>();
      for (int index = 0; index < 2 && response.hasNext(); index++) page.add(response.next(options).getDeviceId());
      pages.add(page);
    } while (token != null);
    return pages;
  }

  private static List<JsonElement> grouped(QueryClient queries) throws Exception {
    List<JsonElement> rows = new ArrayList<>();
    RawQueryResponse response = queries.queryRaw("SELECT tags.hall AS hall, COUNT() AS count FROM devices WHERE tags.hall = 'a' GROUP BY tags.hall");
    while (response.hasNext()) rows.add(HubClients.GSON.fromJson(response.next(), JsonElement.class));
    return rows;
  }

  /** One that updates twins, one that calls nobody who is there, and one that is cancelled before it begins. */
  private static Map<String, Object> jobs(String owner) throws Exception {
    ScheduledJobsClient jobs = new ScheduledJobsClient(owner);
    Map<String, Object> seen = new LinkedHashMap<>();
    Twin change = new Twin();
    change.setETag("*");
    change.getDesiredProperties().put("job", "done");
    jobs.scheduleUpdateTwin("update", "tags.hall = 'a'", change, new Date(), 60);
    seen.put("update", ended(jobs, "update"));
    jobs.scheduleDirectMethod(
        "call", "tags.hall = 'a'", "reboot", new Date(), DirectMethodsJobOptions.builder().methodConnectTimeoutSeconds(0).build());
    seen.put("call", ended(jobs, "call"));
    jobs.scheduleUpdateTwin("later", "*", change, new Date(System.currentTimeMillis() + 3_600_000), 60);
    seen.put("later", jobs.get("later").getJobStatus());
    seen.put("cancelled", jobs.cancel("later").getJobStatus());
    List<String> completed = new ArrayList<>();
    JobQueryResponse response = jobs.query(ScheduledJobType.scheduleUpdateTwin, ScheduledJobStatus.completed);
    while (response.hasNext()) completed.add(response.next().getJobId());
    seen.put("completed", completed);
    Map<String, Object> devices = new LinkedHashMap<>();
    JobQueryResponse each = jobs.query("SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'call'");
    while (each.hasNext()) {
      ScheduledJob job = each.next();
      devices.put(job.getDeviceId(), job.getJobStatus());
    }
    seen.put("devices", devices);
    return seen;
  }

  private static List<Object> ended(ScheduledJobsClient jobs, String id) throws Exception {
    ScheduledJob job = jobs.get(id);
    for (long until = System.currentTimeMillis() + WAIT_MS; job.getEndTime() == null; job = jobs.get(id)) {
      if (System.currentTimeMillis() > until) throw new IllegalStateException("job " + id + " did not end");
      Thread.sleep(POLL_MS);
    }
    return List.of(job.getJobStatus(), job.getJobStatistics().getSucceededCount(), job.getJobStatistics().getFailedCount());
  }

  private static Map<String, Object> configuration(String owner) throws Exception {
    ConfigurationsClient configurations = new ConfigurationsClient(owner);
    Configuration wanted = new Configuration("eco");
    ConfigurationContent content = new ConfigurationContent();
    content.setDeviceContent(new HashMap<>(Map.of("properties.desired.mode", "eco")));
    wanted.setContent(content);
    wanted.setTargetCondition("tags.hall = 'a'");
    wanted.setPriority(7);
    Configuration made = configurations.create(wanted);
    made.setPriority(8);
    Map<String, Object> seen = new LinkedHashMap<>();
    seen.put("priority", configurations.replace(made).getPriority());
    seen.put("content", configurations.get("eco").getContent().getDeviceContent());
    seen.put("listed", configurations.get(10).stream().map(Configuration::getId).toArray());
    configurations.delete("eco");
    seen.put("gone", HubClients.failureOf(() -> configurations.get("eco")));
    return seen;
  }
}
